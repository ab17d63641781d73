"use strict";
// Plots whose parts can be pointed at, or come to by the arrow keys: what a part shows stands beside it.
for (const plot of document.querySelectorAll(".plot:has(.spots)")) {
  const bar = plot.querySelector(".spots"), tip = plot.querySelector(".tip"), spots = [...bar.children];
  const sheet = plot.dataset.pictures && document.querySelector(`img[data-name="${plot.dataset.pictures}"]`);
  const tiles = sheet ? [...sheet.parentElement.querySelectorAll("button")] : [];

  const cut = (tile) => {
    const [left, top, width, height] = ["left", "top", "width", "height"].map((name) => parseFloat(tile.style[name]) / 100);
    const canvas = document.createElement("canvas");
    const [wide, high] = [sheet.naturalWidth, sheet.naturalHeight];
    [canvas.width, canvas.height] = [width * wide, height * high];
    canvas.getContext("2d").drawImage(sheet, left * wide, top * high, width * wide, height * high, 0, 0, canvas.width, canvas.height);
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    caption.textContent = tile.getAttribute("aria-label");
    figure.append(canvas, caption);
    return figure;
  };
  const show = (spot) => {
    const like = tiles.filter((tile) => tile.dataset.about && tile.dataset.about === spot.dataset.about);
    tip.replaceChildren(spot.getAttribute("aria-label"), document.createElement("br"), ...like.slice(0, 6).map(cut));
    tip.hidden = false;
    // Beside the part, within what can be seen of the plot.
    const least = plot.scrollLeft, most = least + plot.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(least, Math.min(spot.offsetLeft, most))}px`;
    const below = spot.offsetTop + spot.offsetHeight + 4, above = spot.offsetTop - tip.offsetHeight - 4;
    tip.style.top = `${above < 0 ? Math.min(below, bar.parentElement.offsetHeight - tip.offsetHeight) : above}px`;
  };
  const hide = () => { tip.hidden = true; };
  const middle = (spot) => [spot.offsetLeft + spot.offsetWidth / 2, spot.offsetTop + spot.offsetHeight / 2];
  const next = (from, [right, down]) => {
    const [x, y] = middle(from);
    const far = (spot) => {
      const [over, under] = [middle(spot)[0] - x, middle(spot)[1] - y];
      const along = over * right + under * down, across = Math.abs(over * down) + Math.abs(under * right);
      return along > 1 ? along + 3 * across : Infinity;
    };
    const nearest = spots.reduce((one, other) => (far(other) < far(one) ? other : one));
    return far(nearest) < Infinity ? nearest : from;
  };
  const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

  for (const spot of spots) {
    spot.addEventListener("pointerenter", () => show(spot));
    spot.addEventListener("pointerleave", hide);
    spot.addEventListener("click", () => { spot.focus(); show(spot); });
    spot.addEventListener("focus", () => {
      for (const other of spots) other.tabIndex = other === spot ? 0 : -1;
      show(spot);
    });
    spot.addEventListener("blur", hide);
  }
  bar.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    if (!ways[event.key]) return;
    event.preventDefault();
    next(event.target, ways[event.key]).focus();
  });
  spots[0].tabIndex = 0;
  bar.hidden = false;
}
