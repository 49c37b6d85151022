// What goes wrong with a page itself is said on it: a script that did not load, or one that broke.

(() => {
  const QUIET = /^ResizeObserver loop/; // no fault: a browser tells that it draws a moment later

  function say(words) {
    const node = document.getElementById("fault");
    if (!node) {
      document.addEventListener("DOMContentLoaded", () => say(words), { once: true });
      return;
    }
    node.textContent = `${words} Reload the page to try again.`;
    node.hidden = false;
    for (const each of document.querySelectorAll(".loading")) each.hidden = true;
  }

  window.addEventListener("error", (event) => {
    const { src, href } = event.target;
    if (src ?? href) say(`A part of this page did not load: ${new URL(src ?? href, location.href).pathname}.`);
    else if (event.message && !QUIET.test(event.message)) say(`This page broke: ${event.message}.`);
  }, true);
  window.addEventListener("unhandledrejection", ({ reason }) => say(`This page broke: ${reason?.message ?? reason}.`));
})();
