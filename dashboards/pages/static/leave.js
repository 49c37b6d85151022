// Ends the session of this browser.

import { place } from "./element.js";
import { ask } from "./service.js";

place("log-out").disabled = false;
place("log-out").addEventListener("click", async () => {
  await ask("/session", { method: "DELETE" });
  location.assign("/login");
});
