// Colours of drawings: those of the page, and a scale of time that colour-blind readers can tell apart.

const NAMES = ["text", "quiet", "line", "sheet", "front", "bound", "chosen", "dim"];

// Eight steps of cividis (J. R. Nuñez, C. R. Anderton, R. S. Renslow, PLOS ONE 13(7), 2018), early to late.
const EARLY_TO_LATE = ["#2a3f6d", "#434e6c", "#5b5e6f", "#727172", "#8a8678", "#a59c74", "#c2b369", "#e1cc55"];

// Okabe and Ito's palette without its yellow, which is hard to see on white.
export const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#767676"];

export const STEPS = EARLY_TO_LATE.length;

const dark = matchMedia("(prefers-color-scheme: dark)");

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const own = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  // On white the latest points must not fade, so the scale runs the other way there.
  return { ...own, time: dark.matches ? EARLY_TO_LATE : [...EARLY_TO_LATE].reverse() };
}

export function onSchemeChange(then) {
  dark.addEventListener("change", then);
}
