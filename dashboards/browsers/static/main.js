// The page: joins, asks for models, measures one after the other, and shows what it does.

import { Bench } from './bench.js';
import { browserFacts } from './facts.js';
import { Service, ServiceError } from './service.js';

const RUNTIME = document.baseURI.replace(/[^/]*$/, '') + 'runtime/';
const RETRY_MS = 1000;
const MAX_STARTS = 5; // of the runtime that fail before the model hears of it
const SHOWN = 20; // models in the list
const JOINED_ELSEWHERE = 'This device goes on in another tab or window; this one has stopped.';

const element = (id) => document.getElementById(id);
const service = new Service();
let bench;
let facts;
let failedStarts = 0;
let session = 0; // counts joining and leaving, so that what belongs to an earlier one ends

const memory = {
  read: () => {
    try {
      return JSON.parse(localStorage.getItem('device')) ?? {};
    } catch {
      return {};
    }
  },
  write: (value) => localStorage.setItem('device', JSON.stringify(value)),
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function visible() {
  if (document.visibilityState === 'visible') return Promise.resolve();
  say('Paused: this page is hidden. Measuring goes on when it is visible again.');
  return new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true })).then(visible);
}

// A promise that is kept when the page is hidden.
function hidden(signal) {
  return new Promise((resolve) => {
    const look = () => document.visibilityState === 'hidden' && resolve('hidden');
    document.addEventListener('visibilitychange', look, { signal });
    look();
  });
}

function say(text) {
  if (element('status').textContent !== text) element('status').textContent = text;
}

function problem(text) {
  element('problem').textContent = text;
}

async function join(code, name) {
  const { key = '', name: before } = memory.read();
  const got = await service.join(code, name, facts, before === name ? key : '');
  memory.write({ code, name, key: got });
}

async function enter(code, name) {
  const mine = ++session;
  problem('');
  try {
    await join(code, name);
  } catch (error) {
    showForm(error instanceof ServiceError ? error.message : 'The service cannot be reached; try again.');
    return;
  }
  element('join').hidden = true;
  element('joined').hidden = false;
  element('device').textContent = name;
  keepAwake();
  serve(mine, code, name);
}

// Ask and measure, as long as this is the page that speaks for the device.
async function serve(mine, code, name) {
  while (mine === session) {
    try {
      await visible();
      if (mine !== session) return;
      say('Ready: waiting for a model.');
      const lease = await service.take();
      if (lease) await measure(lease);
    } catch (error) {
      if (mine !== session) return;
      if (error instanceof ServiceError && error.status === 401) {
        await pause(RETRY_MS); // another tab, if that is why, notes its key first
        if (memory.read().key !== service.key) return stop(JOINED_ELSEWHERE);
        try {
          await join(code, name); // the service was started anew
        } catch (refused) {
          if (refused instanceof ServiceError) return stop(refused.message);
        }
      } else {
        say('No contact with the service; trying again.');
        await pause(RETRY_MS);
      }
    }
  }
}

// Measure one model. It counts if the service still waits for it; a hidden page hands it back.
async function measure(lease) {
  const done = new AbortController();
  const state = { running: false };
  element('busy').hidden = false;
  say('A model comes.');
  try {
    const over = watch(lease.lease, state, done.signal).then(() => 'over');
    const worked = work(lease, state, done.signal);
    const what = await Promise.race([worked, over, hidden(done.signal)]);
    const unstarted = what?.reason === 'start' && ++failedStarts < MAX_STARTS; // a lost network, most of the time
    if (unstarted) {
      say(`${what.message}; trying again.`);
      await pause(RETRY_MS);
    }
    if (what === 'hidden' || unstarted) {
      await service.giveBack(lease.lease);
      count('returned');
    } else if (what === 'over') {
      count('returned');
    } else {
      failedStarts = 0;
      await send(lease.lease, what);
    }
  } finally {
    done.abort();
    if (bench.busy) bench.stop();
    element('busy').hidden = true;
  }
}

async function work(lease, state, signal) {
  const content = await service.content(lease.lease, signal);
  if (signal.aborted) return null;
  return bench.measure(lease, content, () => {
    state.running = true;
    say('Measuring a model.');
  });
}

// Show signs of life until the lease is over. A service that is silent for a moment does not end it.
async function watch(lease, state, signal) {
  while (!signal.aborted) {
    try {
      if (await service.watch(lease, state.running)) return;
    } catch (error) {
      if (error instanceof ServiceError) return;
      await pause(RETRY_MS);
    }
  }
}

// Say what came of a model, for as long as the service wants to know.
async function send(lease, answer) {
  for (;;) {
    try {
      await service.finish(lease, answer);
      count(answer.event === 'measured' ? 'measured' : 'failed');
      show(answer);
      return;
    } catch (error) {
      if (error instanceof ServiceError) {
        count('returned'); // too late: it is measured again, and counts then
        if (error.status === 410) return;
        throw error;
      }
      say('No contact with the service; trying again.');
      await pause(RETRY_MS);
    }
  }
}

function count(id) {
  element(id).textContent = Number(element(id).textContent) + 1;
}

function show(answer) {
  const line = document.createElement('li');
  const time = new Date().toLocaleTimeString();
  if (answer.event === 'measured') {
    const ordered = Float64Array.from(answer.samples_ms).sort();
    const at = (share) => `${ordered[Math.floor(share * (ordered.length - 1))].toPrecision(3)} ms`;
    const median = document.createElement('strong');
    median.textContent = at(0.5);
    const how = answer.runs_per_sample > 1 ? `each the mean of ${answer.runs_per_sample} runs` : 'each one run';
    line.append(median, ` p90 ${at(0.9)}, ${ordered.length} samples, ${how}, ${time}`);
  } else {
    line.className = 'problem';
    line.textContent = `${answer.message} (${time})`;
  }
  const latest = element('latest');
  latest.querySelector('.quiet')?.remove();
  latest.prepend(line);
  while (latest.children.length > SHOWN) latest.lastChild.remove();
}

function showForm(text) {
  element('join').hidden = false;
  element('joined').hidden = true;
  problem(text);
}

function stop(text) {
  session++;
  bench.stop();
  showForm(text);
}

// A phone that falls asleep stops measuring; where the browser allows it, keep it awake.
async function keepAwake() {
  try {
    await navigator.wakeLock?.request('screen');
  } catch {
    // refused, for example to save the battery: then the model is handed out again
  }
}

// What has to be known before anyone can join.
async function prepare() {
  const { version } = await (await fetch('runtime.json')).json();
  facts = await browserFacts(version);
  bench = new Bench(RUNTIME + version + '/');
  const told = {
    'ONNX Runtime Web': version,
    Cores: facts.cores,
    Threads: facts.isolated ? 'possible' : 'one: the page is not opened over HTTPS or from localhost',
    WebGPU: facts.gpu || 'none',
    Browser: facts.agent,
  };
  for (const [name, value] of Object.entries(told)) {
    const [term, text] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    text.textContent = value;
    element('facts').append(term, text);
  }
}

const known = memory.read();
const linked = new URLSearchParams(location.hash.slice(1)).get('code');
element('code').value = linked ?? known.code ?? '';
element('name').value = known.name ?? '';

const prepared = prepare();
prepared.catch((error) => problem(`This page cannot start: ${error.message}`));

element('join').addEventListener('submit', (event) => {
  event.preventDefault();
  prepared.then(() => enter(element('code').value, element('name').value.trim()), () => {});
});
element('leave').addEventListener('click', () => {
  service.leave().catch(() => {});
  memory.write({ ...memory.read(), key: '' });
  stop('');
});
addEventListener('pagehide', () => service.key && service.leave().catch(() => {}));
document.addEventListener('visibilitychange', () => !element('joined').hidden && keepAwake());
if (known.key && (!linked || linked === known.code)) {
  prepared.then(() => enter(known.code, known.name), () => {});
}
