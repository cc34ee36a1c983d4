// Builds the page's files into the package: `make page`. Another folder may be named as the argument.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, "../../plugins/glacier_jobs/page/static"));

const result = await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.tsx" },
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
});
await mkdir(folder, { recursive: true });
for (const name of ["index.html", "icon.svg", "icon-dark.svg"]) {
  await copyFile(join(here, "src", name), join(folder, name));
}

const packages = new Set();
for (const input of Object.keys(result.metafile.inputs)) {
  const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) packages.add(match[1]);
}
const licenses = [];
for (const name of [...packages].sort()) {
  const { version } = JSON.parse(await readFile(join(here, "node_modules", name, "package.json"), "utf8"));
  const license = await readFile(join(here, "node_modules", name, "LICENSE"), "utf8");
  licenses.push(`${name} ${version}\n\n${license.trim()}\n`);
}
await writeFile(join(folder, "LICENSES.txt"), `page.js and page.css contain:\n\n${licenses.join("\n---\n\n")}`);
