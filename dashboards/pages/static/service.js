// What the pages ask the service. A connection that is lost is shown, and taken up again by who asks anew.

import { element, place } from "./element.js";

export class Refused extends Error {
  constructor(status, detail, problems) {
    super(detail);
    this.status = status;
    this.problems = problems ?? [];
  }
}

// A part of a path, whatever it is.
export const part = encodeURIComponent;

export async function ask(path, { method = "GET", body, type = "application/json", raw = false } = {}) {
  let answer;
  try {
    answer = await fetch(`/v1${path}`, {
      method, credentials: "same-origin", headers: body === undefined ? {} : { "Content-Type": type },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
  } catch {
    lost();
    throw new Refused(0, "the service does not answer");
  }
  if (answer.ok) {
    found();
    return raw ? answer.arrayBuffer() : answer.status === 204 ? null : answer.json();
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) ended();
  const detail = typeof told.detail === "string" ? told.detail : `the service answers ${answer.status}`;
  throw new Refused(answer.status, detail, told.problems);
}

export function lost() {
  show("The connection to the service is lost; trying again.");
}

export function found() {
  place("connection").hidden = true;
}

function ended() {
  if (location.pathname === "/login") return;
  const next = encodeURIComponent(location.pathname + location.search);
  show("Your session is over. ", element("a", { href: `/login?next=${next}` }, "Log in again"));
}

function show(...words) {
  place("connection").replaceChildren(...words);
  place("connection").hidden = false;
}

// Show what went wrong where the page has a place for it; what was lost is shown by the banner.
export function complain(error) {
  if (!(error instanceof Refused)) throw error;
  if (error.status !== 0 && error.status !== 401) place("problem").textContent = error.message;
}

export const role = () => document.body.dataset.role;
export const mayChange = () => role() === "submit" || role() === "admin";
