-- SQLite, not PostgreSQL: the flash memory of a simulated gateway (simulators/outbox_store.py).

-- name: create_frames
-- Frames that nobody has acknowledged yet; the number is the gateway's sequence and never goes back.
CREATE TABLE IF NOT EXISTS frames (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL)

-- name: create_boots
-- How often the gateway has started.
CREATE TABLE IF NOT EXISTS boots (number INTEGER PRIMARY KEY AUTOINCREMENT)

-- name: add_boot
INSERT INTO boots DEFAULT VALUES

-- name: add_frame
INSERT INTO frames (topic, payload) VALUES (?, ?)

-- name: frames_after
-- Oldest first.
SELECT seq, topic, payload FROM frames WHERE seq > ? ORDER BY seq LIMIT ?

-- name: forget_frame
DELETE FROM frames WHERE seq = ?

-- name: count_frames
SELECT count(*) FROM frames

-- name: last_frame
SELECT max(seq) FROM frames

-- name: forget_oldest
-- A full memory loses its oldest frames.
DELETE FROM frames WHERE seq IN (SELECT seq FROM frames ORDER BY seq LIMIT ?)
