// Says so where a file of the page did not come: its modules need each other, and without one of them there is nothing to see.
// A script of its own that needs none of them.

addEventListener("error", ({ target }) => {
  const isScript = target instanceof HTMLScriptElement;
  const isStyle = target instanceof HTMLLinkElement && target.rel === "stylesheet";
  if (isScript || isStyle) document.getElementById("missing").hidden = false;
}, true);
