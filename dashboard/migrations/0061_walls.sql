-- What a console asked a wall to show, and who silenced it until when. One row a wall.
CREATE TABLE walls (
    name     text PRIMARY KEY,
    scene    text NOT NULL DEFAULT '',
    incident text NOT NULL DEFAULT '',
    until    timestamptz,
    by       text NOT NULL DEFAULT '',
    mute_by  text NOT NULL DEFAULT '',
    mute_why text NOT NULL DEFAULT '',
    mute_until timestamptz,
    at       timestamptz NOT NULL
);
