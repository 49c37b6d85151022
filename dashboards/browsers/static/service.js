// What the page says to the service: `dashboards/browsers/routes.py`.

const TIMEOUT_MS = 15_000;

export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Service {
  key = '';

  async join(code, name, facts, previousKey) {
    const answer = await this.#ask('join', { code, name, facts, previous_key: previousKey });
    this.key = (await answer.json()).key;
    return this.key;
  }

  // The next model, or null when there is none at the moment.
  async take() {
    const answer = await this.#ask('leases', {});
    return answer.status === 204 ? null : answer.json();
  }

  async content(lease, signal) {
    const headers = { Authorization: `Bearer ${this.key}` };
    return (await checked(await fetch(`leases/${lease}/content`, { headers, signal }))).arrayBuffer();
  }

  // Show a sign of life; the service answers after a while, or at once when the lease is over.
  async watch(lease, running) {
    const answer = await this.#ask(`leases/${lease}/watch`, { running });
    return (await answer.json()).over;
  }

  giveBack(lease) {
    return this.#ask(`leases/${lease}/return`, {});
  }

  finish(lease, answer) {
    return this.#ask(`leases/${lease}/answer`, answer);
  }

  leave() {
    return this.#ask('leave', {}, { keepalive: true });
  }

  async #ask(path, body, options = {}) {
    const headers = { 'Content-Type': 'application/json' };
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return checked(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body), signal, ...options }));
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  let message = `the service answers ${answer.status}`;
  try {
    message = (await answer.json()).detail ?? message;
  } catch {
    // an answer without JSON says nothing more than its status
  }
  throw new ServiceError(answer.status, String(message));
}
