// Runs before the page is painted, so that a chosen theme never flashes; a module would come too late.
try {
  const theme = localStorage.getItem("zuruf.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme holds.
}
