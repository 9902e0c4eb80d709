// Where a file of the page did not come: its modules need each other, and without one of them there is nothing to see. So all is
// loaded once more by itself, as a busy machine may have lost it, and then it says so. A script of its own that needs none of them.

// How long (ms) after that it is not tried again.
const AGAIN_MS = 30_000;
const TRIED = "dgc-loaded-again";

/** Also where that is heard before the page has come so far as to have a place for it. */
function say() {
  const note = document.getElementById("missing");
  if (note) note.hidden = false;
  else addEventListener("DOMContentLoaded", say);
}

addEventListener("error", ({ target }) => {
  const isScript = target instanceof HTMLScriptElement;
  const isStyle = target instanceof HTMLLinkElement && target.rel === "stylesheet";
  if (!isScript && !isStyle) return;
  if (Date.now() - Number(sessionStorage.getItem(TRIED)) < AGAIN_MS) {
    say();
    return;
  }
  sessionStorage.setItem(TRIED, String(Date.now()));
  location.reload();
}, true);
