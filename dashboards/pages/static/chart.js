// The frame of a chart: caption, tools, drawing surfaces, a line of text, its data as CSV and its view as a link.

import { element } from "./element.js";
import { onSchemeChange } from "./palette.js";

const HERE = { get address() { return location.href; } };

export class Chart {
  // `layers` canvases lie one over another; `draw` is called when the size or the colours have changed.
  constructor({ caption, height = 320, layers = 1, tools = [], view = HERE, csv, csvName, label }) {
    this.caption = element("figcaption", {}, caption);
    this.canvases = Array.from({ length: layers }, (_, i) => element("canvas", i ? { "aria-hidden": "true" } : { role: "img", "aria-label": label ?? caption }));
    this.plot = element("div", { class: "plot" }, this.canvases);
    this.plot.style.height = `${height}px`;
    this.told = element("p", { class: "told", "aria-live": "polite" });
    this.key = element("ul", { class: "key" });
    const buttons = [
      csv ? element("button", { type: "button", class: "plain", "aria-label": `CSV of ${caption}`,
        onclick: () => save(csvName ?? "chart.csv", csv()) }, "CSV") : null,
      element("button", { type: "button", class: "plain", "aria-label": `Copy a link to this view of ${caption}`,
        onclick: () => this.copy(view) }, "Copy link"),
    ];
    this.tools = element("div", { class: "tools" }, tools, buttons);
    this.node = element("figure", { class: "card" }, this.caption, this.tools, this.plot, this.key, this.told);
    this.draw = () => {};
    this.width = 0;
    this.height = 0;
    new ResizeObserver(() => this.resize()).observe(this.plot);
    onSchemeChange(() => this.width && this.draw());
  }

  resize() {
    const { width, height } = this.plot.getBoundingClientRect();
    if (!width || !height) return;
    this.width = Math.round(width);
    this.height = Math.round(height);
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of this.canvases) {
      canvas.width = this.width * ratio;
      canvas.height = this.height * ratio;
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.draw();
  }

  // The context of a layer, wiped.
  clean(layer) {
    const context = this.canvases[layer].getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    return context;
  }

  context(layer) {
    return this.canvases[layer].getContext("2d");
  }

  describe(text) {
    this.canvases[0].setAttribute("aria-label", text);
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

// CSV of rows of values; a cell that a spreadsheet would run as a formula is quoted away.
export function csvOf(header, rows) {
  const cell = (value) => {
    if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
    const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
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
