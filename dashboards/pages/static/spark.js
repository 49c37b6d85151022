// A line as small as a word: a share of 1 over evaluations.

import { drawn } from "./element.js";

const WIDTH = 120;
const HEIGHT = 28;

export function spark(numbers, shares, last, label) {
  const x = (number) => 1 + (number / Math.max(1, last)) * (WIDTH - 2);
  const y = (share) => HEIGHT - 2 - share * (HEIGHT - 4);
  const steps = numbers.flatMap((number, i) => (i ? [[x(number), y(shares[i - 1])]] : []).concat([[x(number), y(shares[i])]]));
  if (steps.length) steps.push([x(last), y(shares.at(-1))]);
  const points = steps.map(([left, top]) => `${left.toFixed(1)},${top.toFixed(1)}`).join(" ");
  return drawn("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    drawn("polyline", { points, fill: "none", stroke: "var(--front)", "stroke-width": 1.5 }));
}
