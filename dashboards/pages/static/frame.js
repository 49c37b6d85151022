// What every picture carries: a caption, tools, its data as CSV, its view as a link, and a line of text.

import { save } from "./csv.js";
import { element } from "./element.js";

const HERE = { get address() { return location.href; } };

export class Frame {
  // `body` is what is shown; `csv()` is its data; `view.address` is where the same is shown.
  constructor({ caption, body, tools = [], view = HERE, csv, csvName = "chart.csv" }) {
    this.told = element("p", { class: "told", "aria-live": "polite" });
    const buttons = [
      csv ? element("button", { type: "button", class: "plain", "aria-label": `CSV of ${caption}`,
        onclick: () => save(csvName, csv()) }, "CSV") : null,
      element("button", { type: "button", class: "plain", "aria-label": `Copy a link to this view of ${caption}`,
        onclick: () => this.copy(view) }, "Copy link"),
    ];
    this.tools = element("div", { class: "tools" }, tools, buttons);
    this.node = element("figure", { class: "card" }, element("figcaption", {}, caption), this.tools, body, this.told);
  }

  say(...words) {
    this.told.replaceChildren(...words);
  }

  async copy(view) {
    const address = new URL(view.address, location.href).href;
    try {
      await navigator.clipboard.writeText(address);
      this.say("The link is copied.");
    } catch {
      this.say("Copy this link: ", element("a", { href: address }, address)); // no clipboard without encryption
    }
  }
}

export function choice(label, options, value, onchange) {
  const select = element("select", { onchange: (event) => onchange(event.target.value) },
    options.map((name) => element("option", { value: name, selected: name === value }, name)));
  return element("label", {}, label, " ", select);
}

export function check(label, checked, onchange) {
  return element("label", { class: "check" },
    element("input", { type: "checkbox", checked, onchange: (event) => onchange(event.target.checked) }), label);
}
