// Exporting a network: a task of the service, what its checks found, and the file.

import { element, table } from "./element.js";
import { short } from "./numbers.js";
import { ask, mayChange, part, Refused } from "./service.js";

const LOOK_MS = 700;

const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

export function showExport(node, jobId, key) {
  const told = element("div", { role: "status" });
  const files = element("div");
  const buttons = ["fp32", "int8"].map((precision) => element("button", {
    type: "button", disabled: !mayChange(), onclick: () => run(precision),
  }, `Export ${precision}`));
  const run = async (precision) => {
    for (const button of buttons) button.disabled = true;
    told.replaceChildren(element("p", {}, `Exporting ${precision}: the file is built, run and compared with the front…`));
    try {
      let task = await ask(`/jobs/${part(jobId)}/exports`, { method: "POST", body: { pick: key, precision } });
      while (task.status === "QUEUED" || task.status === "RUNNING") {
        await wait(LOOK_MS);
        task = await ask(`/tasks/${part(task.id)}`).catch((error) => {
          if (error instanceof Refused && error.status === 0) return task; // it goes on meanwhile
          throw error;
        });
      }
      if (task.status === "FAILED") told.replaceChildren(element("p", { class: "problem" }, `Nothing was exported: ${task.error}`));
      else told.replaceChildren(...result(precision, task.result));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      told.replaceChildren(element("p", { class: "problem" }, error.message));
    }
    for (const button of buttons) button.disabled = false;
    await showFiles(files, jobId, key);
  };
  node.replaceChildren(element("p", {}, ...buttons.flatMap((button) => [button, " "])),
    mayChange() ? "" : element("p", { class: "quiet" }, "Your token only reads; exporting takes one with the role submit."), told, files);
  return showFiles(files, jobId, key);
}

function result(precision, { id, bytes, checks }) {
  const number = { number: true };
  return [element("p", { class: "good" }, `Every check passed: ${short(bytes)} bytes in ${precision}.`),
    table([{ name: "Check", cell: (each) => each.check }, { ...number, name: "Front", cell: (each) => short(each.front) },
      { ...number, name: "Exported", cell: (each) => short(each.exported) },
      { ...number, name: "Allowed", cell: (each) => short(each.allowed) }], checks),
    element("p", {}, element("a", { class: "button", href: `/v1/artifacts/${part(id)}/content`, download: "" }, "Download the ONNX file"))];
}

async function showFiles(node, jobId, key) {
  const found = (await ask(`/jobs/${part(jobId)}/artifacts`)).filter(({ kind, metadata }) => kind === "onnx" && metadata.architecture_key === key);
  node.replaceChildren(found.length ? element("ul", {}, found.map(({ id, size_bytes: size, metadata, sha256 }) => element("li", {},
    element("a", { href: `/v1/artifacts/${part(id)}/content`, download: "" }, `${metadata.precision ?? "fp32"}, ${short(size)} bytes`),
    element("span", { class: "quiet mono" }, ` sha256 ${sha256.slice(0, 16)}…`)))) : element("p", { class: "quiet" }, "Not exported yet."));
}
