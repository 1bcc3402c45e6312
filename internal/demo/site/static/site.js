// Shows on the sketch of the poster what is typed beside it.
"use strict";
for (const box of document.querySelectorAll("[data-shows]")) {
  const shown = document.getElementById(box.dataset.shows);
  if (shown) box.addEventListener("input", () => { shown.textContent = box.value; });
}
