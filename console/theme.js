// Runs before the first paint, so that a chosen theme does not flash. No module: those are deferred.
'use strict';
try {
  const theme = localStorage.getItem('api-abuse-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is used then.
}
