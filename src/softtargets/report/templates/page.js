const root = document.documentElement;

const views = new Map();

async function drawCharts() {
  const options = {
    actions: false, renderer: "svg", ast: true, defaultStyle: false, 
    tooltip: { disableDefaultStyle: true, offsetX: 14, offsetY: 14 },
  };
  for (const source of document.querySelectorAll("script.chart-spec")) {
    const place = document.getElementById(source.dataset.chart);
    try {
      const drawn = await window.vegaEmbed(place, JSON.parse(source.textContent), options);
      const figure = place.closest("figure");
      views.set(figure, [...(views.get(figure) ?? []), drawn.view]);
    } catch (error) {
      place.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    }
  }
  root.dataset.charts = "drawn";
}

function wireLegends() {
  for (const legend of document.querySelectorAll(".legend")) {
    const entries = [...legend.querySelectorAll("button")];
    for (const entry of entries) {
      entry.addEventListener("click", () => {
        const on = entry.getAttribute("aria-pressed") !== "true";
        for (const other of entries) other.setAttribute("aria-pressed", String(on && other === entry));
        legend.classList.toggle("focused", on);
        for (const view of views.get(legend.closest("figure")) ?? []) {
          view.signal("focus", on ? Number(entry.dataset.index) : -1).runAsync();
        }
      });
    }
  }
}

function wireTheme() {
  const button = document.getElementById("theme");
  const states = ["system", "light", "dark"];
  const show = (state) => {
    if (state === "system") delete root.dataset.theme;
    else root.dataset.theme = state;
    button.querySelector("span").textContent = state;
    button.setAttribute("aria-label", `Colours: ${state}. Change.`);
  };
  show(root.dataset.theme ?? "system");
  button.hidden = false;
  button.addEventListener("click", () => {
    const state = states[(states.indexOf(root.dataset.theme ?? "system") + 1) % states.length];
    show(state);
    try { localStorage.setItem("softtargets-theme", state); } catch { /* storage is not available */ }
  });
}

function wirePrinting() {
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
}

// Open the closed part of the page (a claim, a run) that a link leads to.
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let details = target && target.closest("details"); details; details = details.parentElement.closest("details")) {
    details.open = true;
  }
}

function wireNavigation() {
  window.addEventListener("hashchange", openTarget);
  openTarget();
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -75% 0px" });
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) seen.observe(section);
  }
}

wireTheme();
wireLegends();
wirePrinting();
wireNavigation();
await drawCharts();
