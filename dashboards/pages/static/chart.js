// A picture that is drawn on canvases: their size, their colours, and the key to what is drawn.

import { element } from "./element.js";
import { Frame } from "./frame.js";
import { onSchemeChange } from "./palette.js";

export class Chart extends Frame {
  // `layers` canvases lie one over another; `draw` is called when the size or the colours have changed.
  constructor({ height = 320, layers = 1, label, ...frame }) {
    const canvases = Array.from({ length: layers }, (_, i) =>
      element("canvas", i ? { "aria-hidden": "true" } : { role: "img", "aria-label": label ?? frame.caption }));
    const plot = element("div", { class: "plot" }, canvases);
    plot.style.height = `${height}px`;
    const key = element("ul", { class: "key" });
    super({ ...frame, body: [plot, key] });
    Object.assign(this, { canvases, plot, key, draw: () => {}, width: 0, height: 0 });
    new ResizeObserver(() => this.resize()).observe(plot);
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
}
