// Lines over a common axis: steps or straight, with a band around a line where there is one.

import { area, drawAxes } from "./axes.js";
import { Chart } from "./chart.js";
import { drawn, element } from "./element.js";
import { colours, SERIES } from "./palette.js";
import { extent, padded, Scale } from "./scale.js";

// Dashes tell lines apart for those who cannot by their colours.
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4], [4, 4], [1, 4]];

export class Lines {
  constructor(options) {
    this.chart = new Chart({ height: 240, ...options });
    this.chart.draw = () => this.draw();
    this.series = [];
  }

  // Series are {name, xs, ys, low?, high?}; `steps` keeps a value until the next.
  show(series, { xName, yName, steps = false, dots = false }) {
    this.series = series;
    this.named = { xName, yName, steps, dots };
    const sample = (i) => drawn("svg", { width: 28, height: 10, "aria-hidden": "true" },
      drawn("line", { x1: 0, y1: 5, x2: 28, y2: 5, stroke: SERIES[i % SERIES.length], "stroke-width": 2.5,
        "stroke-dasharray": DASHES[i % DASHES.length].join(" ") }));
    this.chart.key.replaceChildren(...(series.length > 1 ? series.map(({ name }, i) => element("li", {}, sample(i), name)) : []));
    if (this.chart.width) this.draw();
  }

  draw() {
    if (!this.series.length || !this.chart.width) return;
    const context = this.chart.clean(0);
    const colour = colours();
    const box = area(this.chart.width, this.chart.height);
    const ends = (pick) => {
      const found = this.series.flatMap((each) => pick(each).filter(Boolean).map((values) => extent(values))).filter(Boolean);
      return found.length ? [Math.min(...found.map(([low]) => low)), Math.max(...found.map(([, high]) => high))] : null;
    };
    const across = ends(({ xs }) => [xs]);
    const up = ends(({ ys, low, high }) => [ys, low, high]);
    if (!across || !up) return;
    const x = new Scale(...across, box.left, box.right);
    const y = new Scale(...padded(up, false), box.bottom, box.top);
    drawAxes(context, { x, y, ...this.named, box, colour });
    this.series.forEach((each, i) => this.line(context, each, i, x, y));
  }

  line(context, { xs, ys, low, high }, index, x, y) {
    const colour = SERIES[index % SERIES.length];
    const { steps, dots } = this.named;
    const trace = (values, from, to, by, start) => {
      let open = start;
      for (let i = from; i !== to; i += by) {
        if (!Number.isFinite(values[i])) { open = true; continue; }
        const [left, top] = [x.at(xs[i]), y.at(values[i])];
        if (open) context.moveTo(left, top);
        else {
          if (steps) context.lineTo(left, y.at(values[i - by]));
          context.lineTo(left, top);
        }
        open = false;
      }
    };
    if (low && high) {
      context.fillStyle = colour;
      context.globalAlpha = 0.2;
      context.beginPath();
      trace(high, 0, xs.length, 1, true);
      for (let i = xs.length - 1; i >= 0; i--) {
        context.lineTo(x.at(xs[i]), y.at(low[i]));
        if (steps && i) context.lineTo(x.at(xs[i]), y.at(low[i - 1]));
      }
      context.fill();
      context.globalAlpha = 1;
    }
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 2;
    context.setLineDash(DASHES[index % DASHES.length]);
    context.beginPath();
    trace(ys, 0, xs.length, 1, true);
    context.stroke();
    context.setLineDash([]);
    if (!dots && xs.length > 1) return;
    for (let i = 0; i < xs.length; i++) {
      context.beginPath();
      context.arc(x.at(xs[i]), y.at(ys[i]), 3, 0, 7);
      context.fill();
    }
  }
}
