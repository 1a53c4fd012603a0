// Loads the page again now and then, but never under someone's hands: not in a form, a selection or a hidden tab.
"use strict";
const waitMs = 1000 * Number(document.body.dataset.refreshS || 0);
const busy = () => {
  const focused = document.activeElement;
  return document.hidden || (focused && focused.closest("form")) || document.querySelector("form:hover")
    || String(document.getSelection()) !== "";
};
if (waitMs > 0) {
  setInterval(() => { if (!busy()) { location.reload(); } }, waitMs);
}
