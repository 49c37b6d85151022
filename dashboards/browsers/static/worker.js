// Measures models, apart from the page, so that neither waits for the other.

import { failure, loadRuntime, makeFeeds, makeSession } from './session.js';
import { calibrate, resolutionOf, takeTiming } from './timing.js';

const clock = () => performance.now();
let runtime;

self.postMessage({ event: 'ready' });
self.onmessage = async ({ data: { folder, lease, content } }) => self.postMessage(await measure(folder, lease, content));

async function measure(folder, lease, content) {
  let session;
  let sessionMs;
  try {
    runtime ??= await loadRuntime(folder, lease.settings, lease.memory_bytes);
  } catch (error) {
    return failure('ONNX Runtime Web does not start', error, 'start');
  }
  self.postMessage({ event: 'started' }); // from here on it is the model's time
  try {
    const start = clock();
    session = await makeSession(runtime, new Uint8Array(content, 0, lease.model_bytes), lease.settings, lease.sizes);
    sessionMs = clock() - start;
  } catch (error) {
    return failure('ONNX Runtime Web cannot load the model', error, 'load');
  }
  try {
    const feeds = makeFeeds(runtime, lease.inputs, content, lease.model_bytes);
    const run = () => session.run(feeds);
    const { together, taken } = await calibrate(run, resolutionOf(clock), clock);
    const timing = await takeTiming(run, lease.rule, clock, together);
    await session.release();
    return {
      event: 'measured',
      session_ms: sessionMs,
      warmup_runs: taken + timing.warmupRuns,
      settled: timing.settled,
      runs_per_sample: together,
      samples_ms: timing.samples,
    };
  } catch (error) {
    return failure('the model fails when it runs', error, 'run');
  }
}
