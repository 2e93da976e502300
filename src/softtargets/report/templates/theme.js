(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("softtargets-theme"); } catch { /* storage may be forbidden: follow the system */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
