// Begins: colours, keys, the stream, the page.

import { html, render } from "./vendor/ui.js";
import { takeToken } from "./api.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import { store } from "./store.js";
import { followTheme } from "./view_state.js";
import { mapper, Shell } from "./views/shell.js";

takeToken();
followTheme();
keys.listen();
live.listen();
render(html`<${Shell} />`, document.getElementById("page"));
// For whoever measures or drives the page from outside.
globalThis.digitalgrid = { mapper, store };
