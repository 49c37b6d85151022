// Colours of drawings: those of the page, and its scale from early to late, as style and as a picture of itself.

import { drawn } from "./element.js";

const NAMES = ["text", "quiet", "line", "sheet", "front", "bound", "chosen", "dim"];
const WIDE = 10;

export const STEPS = 8;
const TIME = Array.from({ length: STEPS }, (_, i) => `--time-${i + 1}`);

// Okabe and Ito's palette without its yellow, which is hard to see on white.
export const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#767676"];

const dark = matchMedia("(prefers-color-scheme: dark)");

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return { ...Object.fromEntries(NAMES.map((name) => [name, value(`--${name}`)])), time: TIME.map(value) };
}

export function onSchemeChange(then) {
  dark.addEventListener("change", then);
}

// The scale as a strip for keys.
export function ramp(backwards = false) {
  const steps = backwards ? [...TIME].reverse() : TIME;
  return drawn("svg", { width: WIDE * STEPS, height: 12, "aria-hidden": "true" },
    steps.map((name, i) => drawn("rect", { x: WIDE * i, y: 0, width: WIDE, height: 12, fill: `var(${name})` })));
}
