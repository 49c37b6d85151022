// The protocol of measuring, as `profilers/timing.py` has it; a test compares the two, run by run.
// Beside it, what only browsers need: a clock that is too coarse for one run times several together.

const SHARE_OF_A_TICK = 100; // a sample lasts as many ticks of the clock, so that it is known to a percent
const ENOUGH_LOOKS = 3;
const LOOKS = 5; // the fastest of so many tells how long something takes

// The smallest step of the clock that is seen, in milliseconds.
export function resolutionOf(clock, looks = 20) {
  let smallest = Infinity;
  for (let look = 0; look < looks; look++) {
    const start = clock();
    let now = start;
    while (now === start) now = clock();
    smallest = Math.min(smallest, now - start);
  }
  return smallest;
}

// How many runs have to be timed together, and how many were taken to find that out.
export async function calibrate(run, resolutionMs, clock) {
  await run(); // the first run prepares what the others use
  const needed = SHARE_OF_A_TICK * resolutionMs;
  let taken = 1;
  for (let together = 1; ; ) {
    let spent = Infinity;
    for (let look = 0; look < LOOKS; look++) {
      const start = clock();
      for (let i = 0; i < together; i++) await run();
      spent = Math.min(spent, clock() - start);
      taken += together;
      if (look + 1 >= ENOUGH_LOOKS && spent >= LOOKS * needed) break; // it is slow, and not disturbed each time
    }
    if (spent >= needed) return { together, taken };
    together = Math.ceil(together * Math.min(10, Math.max(1.5, (1.2 * needed) / Math.max(spent, resolutionMs))));
  }
}

// Half the width of the 95 % confidence interval of the median, divided by the median.
export function medianInterval(samples) {
  const count = samples.length;
  if (count < 6) return Infinity;
  const margin = (1.959964 * Math.sqrt(count)) / 2;
  const low = Math.max(Math.floor(count / 2 - margin), 0);
  const high = Math.min(Math.ceil(count / 2 + margin), count - 1);
  const ordered = Float64Array.from(samples).sort();
  return (ordered[high] - ordered[low]) / 2 / medianOfOrdered(ordered);
}

// Run until the rule is content. `together` runs make a sample, which is their mean, in milliseconds.
export async function takeTiming(run, rule, clock, together = 1) {
  const times = [];
  const extend = async (count) => {
    for (let i = 0; i < count; i++) {
      const start = clock();
      for (let j = 0; j < together; j++) await run();
      times.push(Math.max(clock() - start, 1e-6) / together);
    }
  };
  const window = rule.warmup_window;
  await extend(1 + 2 * window);
  while (!settled(times, rule) && times.length + window <= rule.max_warmup_runs) await extend(window);
  const hasSettled = settled(times, rule);
  const warmup = times.length - 2 * window;
  await extend(rule.min_runs - 2 * window);
  for (;;) {
    const timed = times.slice(warmup);
    const spentMs = timed.reduce((sum, time) => sum + time, 0) * together;
    if (timed.length >= rule.max_runs || spentMs >= rule.max_timed_s * 1e3) break;
    if (medianInterval(timed) <= rule.tolerance) break;
    await extend(Math.min(Math.max(10, Math.floor(timed.length / 5)), rule.max_runs - timed.length));
  }
  return { samples: times.slice(warmup), warmupRuns: warmup * together, settled: hasSettled };
}

function settled(times, rule) {
  const window = rule.warmup_window;
  const before = median(times.slice(-2 * window, -window));
  return before <= (1 + rule.warmup_tolerance) * median(times.slice(-window));
}

function median(values) {
  return medianOfOrdered(Float64Array.from(values).sort());
}

function medianOfOrdered(ordered) {
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}
