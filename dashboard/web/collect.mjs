// Copies what the pages ask for from node_modules into dashboard/vendor (ignored by git). Run by set-up.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const target = join(here, "..", "vendor");
const half = target + ".half";

// package → [file in the package, name in vendor]; a folder is copied whole.
const wanted = {
  "maplibre-gl": [
    ["dist/maplibre-gl.mjs", "maplibre-gl.mjs"],
    ["dist/maplibre-gl-shared.mjs", "maplibre-gl-shared.mjs"],
    ["dist/maplibre-gl-worker.mjs", "maplibre-gl-worker.mjs"],
    ["dist/maplibre-gl.css", "maplibre-gl.css"],
  ],
  "pmtiles": [["dist/pmtiles.js", "pmtiles.mjs"]],
  "ag-grid-community": [["dist/ag-grid-community.min.noStyle.js", "ag-grid.mjs"]],
  "preact": [["dist/preact.mjs", "preact.mjs"], ["hooks/dist/hooks.mjs", "preact-hooks.mjs"]],
  "htm": [["dist/htm.module.js", "htm.mjs"]],
  "idb-keyval": [["dist/index.js", "idb-keyval.mjs"]],
  "@fontsource-variable/noto-sans-sc": [["index.css", "noto-sans-sc/index.css"], ["files", "noto-sans-sc/files"]],
  "@fontsource/barlow-semi-condensed": [
    ["latin-500.css", "barlow/500.css"],
    ["latin-600.css", "barlow/600.css"],
    ["files/barlow-semi-condensed-latin-500-normal.woff2", "barlow/files/barlow-semi-condensed-latin-500-normal.woff2"],
    ["files/barlow-semi-condensed-latin-600-normal.woff2", "barlow/files/barlow-semi-condensed-latin-600-normal.woff2"],
  ],
};

// Files whose bare imports or missing exports a browser cannot take as they are.
const mend = {
  "preact-hooks.mjs": (code) => code.replaceAll('"preact"', '"./preact.mjs"'),
  "ag-grid.mjs": (code) => `${code}\nexport default globalThis.agGrid;\n`,
  "pmtiles.mjs": (code) => `${code}\nexport const { PMTiles, Protocol } = pmtiles;\n`,
};

rmSync(half, { recursive: true, force: true });
const notices = [];
for (const [name, files] of Object.entries(wanted)) {
  const home = join(modules, name);
  const about = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  for (const [from, to] of files) {
    const place = join(half, to);
    mkdirSync(dirname(place), { recursive: true });
    cpSync(join(home, from), place, { recursive: true });
    if (mend[to]) writeFileSync(place, mend[to](readFileSync(place, "utf8")));
  }
  const licence = readdirSync(home).find((file) => /^licen[cs]e/i.test(file));
  notices.push(`== ${name} ${about.version} (${about.license})\n${licence ? readFileSync(join(home, licence), "utf8") : ""}`);
}
writeFileSync(join(half, "LICENCES.txt"), notices.join("\n"));
rmSync(target, { recursive: true, force: true });
cpSync(half, target, { recursive: true });
rmSync(half, { recursive: true, force: true });
