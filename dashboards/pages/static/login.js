// Gives a token for a session.

import { place } from "./element.js";
import { ask, Refused } from "./service.js";

const form = place("login");
const goOn = () => location.replace(form.dataset.next);

// Who follows a link of another site comes here without the cookie, which only our own pages send.
ask("/session").then(goOn, () => place("token").focus());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  place("problem").textContent = "";
  try {
    await ask("/session", { method: "POST", body: { token: place("token").value } });
    goOn();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    place("problem").textContent = error.message;
  }
});
