// The form of a new job: judged by the service while it is typed.

import { element, place } from "./element.js";
import { ask, complain, part, Refused } from "./service.js";

const QUIET_MS = 250;
const EXAMPLE = `name: digits
space: {name: mobilenet_v3, resolutions: [8], stem_stride: 1}
objectives: [macs, params]
strategy: nsga2
budget: {evaluations: 200}
`;

const form = place("submit");
let timer = 0;
let asked = 0;

const kind = () => (place("text").value.trimStart().startsWith("{") ? "application/json" : "application/yaml");

async function judge() {
  const number = ++asked;
  const text = place("text").value;
  const button = form.querySelector("[type=submit]");
  try {
    const told = await ask("/jobs/verdicts", { method: "POST", body: text, type: kind() });
    if (number !== asked) return; // it was typed on meanwhile
    button.disabled = told.problems.length > 0;
    show(told.problems, told.problems.length ? null : `Nothing is wrong with job ${told.name}.`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (number !== asked) return;
    button.disabled = true;
    show([{ where: "", message: error.message }], null);
  }
}

function show(problems, praise) {
  const rows = problems.map(({ where, message }) =>
    element("li", {}, where ? element("code", {}, where) : null, where ? ": " : "", message));
  place("verdict").replaceChildren(
    praise ? element("p", { class: "good" }, praise) : element("p", { class: "problem" },
      `${problems.length} problem${problems.length === 1 ? "" : "s"}`),
    element("ul", {}, rows));
}

function typed() {
  form.querySelector("[type=submit]").disabled = true;
  clearTimeout(timer);
  timer = setTimeout(judge, QUIET_MS);
}

if (form) {
  place("text").value = EXAMPLE;
  place("text").addEventListener("input", typed);
  place("file").addEventListener("change", async () => {
    const [file] = place("file").files;
    if (!file) return;
    place("text").value = await file.text();
    judge();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    place("problem").textContent = "";
    try {
      const job = await ask("/jobs", { method: "POST", body: place("text").value, type: kind() });
      location.assign(`/jobs/${part(job.id)}`);
    } catch (error) {
      complain(error);
    }
  });
  judge();
}
