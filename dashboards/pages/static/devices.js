// Devices: whether they answer, what waits for them, how noisy they are, and whether they agree about which is fast.

import { csvOf } from "./csv.js";
import { element, place, table } from "./element.js";
import { Lines } from "./lines.js";
import { moment, short } from "./numbers.js";
import { ask, complain, part } from "./service.js";

const SOON_MS = 1000; // between looks while a device is being asked
const LATER_MS = 15000;

const cards = new Map(); // fingerprint -> where it is said whether the device answers, and what waits for it
const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
const fact = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));

async function card(device) {
  const [answers, queue] = [element("dd"), element("dd")];
  const facts = [element("div", {}, element("dt", {}, "Online"), answers), element("div", {}, element("dt", {}, "Queue"), queue),
    fact("Last seen", moment(device.last_seen)), fact("Fingerprint", element("span", { class: "mono" }, device.fingerprint.slice(0, 16))),
    ...Object.entries(device.description).filter(([, value]) => value !== null).map(([name, value]) => fact(name, shown(value)))];
  const node = element("section", { class: "card" }, element("h2", {}, device.name), element("dl", { class: "facts" }, facts));
  cards.set(device.fingerprint, { answers, queue });
  const told = await ask(`/devices/${part(device.fingerprint)}/noise`);
  if (!told.noise.length) {
    node.append(element("p", { class: "quiet" }, `${short(told.measured)} measurements are kept, none of which tells a noise floor.`));
    return node;
  }
  const since = told.times.map((time) => (new Date(time) - new Date(told.times[0])) / 3.6e6);
  const lines = new Lines({ caption: `Noise floor of ${device.name}`, height: 180, csvName: `${device.name}-noise.csv`,
    csv: () => csvOf(["time", "noise"], told.times.map((time, i) => [time, told.noise[i]])) });
  lines.show([{ name: "noise", xs: since, ys: told.noise }], { xName: "hours since the first measurement", yName: "relative change", dots: since.length < 60 });
  lines.chart.say(`${short(told.noise.at(-1))} at last: timings that differ by less than that may be equal.`);
  node.append(lines.chart.node);
  return node;
}

function showPresence({ answers, told, queue }, where) {
  const [word, kind] = answers === null ? ["not known", "quiet"] : answers ? ["yes", "good"] : ["no", "problem"];
  where.answers.replaceChildren(element("span", { class: kind }, word), `: ${told}`);
  where.queue.replaceChildren(...(queue.length ? queue.flatMap(({ id, name, status, paused }, i) => [i ? ", " : "",
    element("a", { href: `/jobs/${part(id)}` }, name), ` (${paused ? "PAUSED" : status})`]) : ["empty"]));
}

async function look() {
  let wait = LATER_MS;
  try {
    for (const each of document.hidden ? [] : await ask("/presence")) {
      if (each.asking) wait = SOON_MS;
      const where = cards.get(each.fingerprint);
      if (where) showPresence(each, where);
    }
  } catch (error) {
    complain(error);
  }
  setTimeout(look, wait);
}

async function showAgreement(devices) {
  const pairs = (await ask("/agreements")).filter(({ networks }) => networks > 0);
  const name = (fingerprint) => devices.find((device) => device.fingerprint === fingerprint)?.name ?? fingerprint.slice(0, 8);
  place("agreement").replaceChildren(pairs.length ? table([
    { name: "Devices", cell: ({ first, second }) => `${name(first)} and ${name(second)}` },
    { name: "Networks that both measured", number: true, cell: ({ networks }) => short(networks) },
    { name: "Spearman's rank correlation of their latency", number: true, cell: ({ spearman }) => (spearman === null ? "too few" : short(spearman)) },
  ], pairs) : element("p", { class: "quiet" }, "No two devices have measured the same network."));
}

async function begin() {
  const devices = await ask("/devices");
  place("devices").replaceChildren(...(devices.length ? await Promise.all(devices.map(card))
    : [element("p", { class: "card quiet" }, "No device has measured anything yet.")]));
  await look();
  await showAgreement(devices);
}

begin().catch(complain);
