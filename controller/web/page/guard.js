// Where a file of the page did not come: its modules need each other, and without one of them there is nothing to see. So all is
// loaded again by itself, as a busy machine may have lost it, a few times and more and more seldom, and then only by a person. A
// script of its own that needs none of them.

// Before each further try (ms). Only the first, at once, says nothing.
const WAITS_MS = [0, 5_000, 20_000];
const TRIED = "dgc-loaded-again";
let failed = false;

/** Of one more try, or the last; also where that is heard before the page has come so far as to have a place for it. */
function say(last) {
  const note = document.getElementById("missing");
  if (note) note.hidden = note.children[last ? 1 : 0].hidden = false;
  else addEventListener("DOMContentLoaded", () => say(last));
}

addEventListener("error", ({ target }) => {
  const isScript = target instanceof HTMLScriptElement;
  const isStyle = target instanceof HTMLLinkElement && target.rel === "stylesheet";
  if (failed || !(isScript || isStyle)) return;
  failed = true;
  // Counted and not timed: where a file takes long and then fails, each try is long after the one before.
  const tried = Number(sessionStorage.getItem(TRIED));
  const wait = WAITS_MS[tried];
  if (wait !== 0) say(wait === undefined);
  if (wait === undefined) return;
  sessionStorage.setItem(TRIED, String(tried + 1));
  setTimeout(() => location.reload(), wait);
}, true);

addEventListener("load", () => {
  if (!failed) sessionStorage.removeItem(TRIED);
});
