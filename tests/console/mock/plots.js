// What attackers do, as the evidence shows it, and texts that try to break out of a page.

const finding = (measure, unit, value, normal, evidence) => ({ measure, unit, value, normal, evidence });

export const PLOTS = [
  {
    threat: 'vulnerability_scanning', type: 'client', agent: 'gobuster/3.6', requests: 11, seconds: 3.7,
    shares: { vulnerability_scanning: 0.98, scraping: 0.02 }, endpoint: '/{var}',
    findings: [finding('rare_paths_missed', 'paths', 9, 1, 24.6), finding('known_probes', 'requests', 4, 0.2, 24.6),
      finding('names_guessed', 'paths', 8, 2, 24.6), finding('missed_share', 'of requests', 0.91, 0.05, 24.6)],
    paths: ['/.git/config', '/wp-login.php', '/backup.zip', '/admin/.env', '/phpmyadmin/index.php'], method: 'GET', status: 404,
  },
  {
    threat: 'credential_stuffing', type: 'client', requests: 13, seconds: 41.2,
    agent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36',
    shares: { credential_stuffing: 0.99 }, endpoint: '/login',
    findings: [finding('login_failures', 'attempts', 13, 3, 22.1), finding('login_failure_share', 'of attempts', 1, 0.35, 22.1),
      finding('login_share', 'of requests', 0.93, 0.2, 22.1)],
    paths: ['/login', '/login', '/login?next=%2Faccount', '/login', '/login'], method: 'POST', status: 401,
  },
  {
    threat: 'scraping', type: 'address', agent: 'python-requests/2.31.0', requests: 58, seconds: 96,
    shares: { scraping: 0.91, bola: 0.06, vulnerability_scanning: 0.03 }, endpoint: '/products/{int}',
    findings: [finding('sequential_objects', 'objects', 54, 10, 21.4), finding('objects_in_a_hurry', 'objects', 47, 12, 21.4),
      finding('unpopular_objects', 'objects', 31, 8, 21.4)],
    paths: ['/products/10441', '/products/10442', '/products/10443', '/products/10444', '/products/10445'], method: 'GET', status: 200,
  },
  {
    threat: 'bola', type: 'session', agent: 'okhttp/4.12.0', requests: 22, seconds: 35,
    shares: { bola: 0.95, scraping: 0.05 }, endpoint: '/api/v2/orders/{int}',
    findings: [finding('foreign_objects', 'objects', 14, 2, 23.3), finding('sequential_identifiers', 'objects', 19, 10, 23.3),
      finding('refused_objects', 'objects', 6, 2, 23.3)],
    paths: ['/api/v2/orders/88121', '/api/v2/orders/88122', '/api/v2/orders/88123', '/api/v2/orders/88124'], method: 'GET', status: 403,
  },
  {
    threat: 'scalping', type: 'client', agent: 'Go-http-client/2.0', requests: 31, seconds: 12, endpoint: '/cart/add',
    shares: { scalping: 1 },
    findings: [finding('reservations', 'requests', 24, 3, 25.8), finding('hurried_reservations', 'requests', 22, 1, 25.8)],
    paths: ['/cart/add?sku=LTD-01', '/cart/add?sku=LTD-01', '/cart/add?sku=LTD-02'], method: 'POST', status: 200,
  },
  {
    threat: 'resource_exhaustion', type: 'address', agent: '', action: 'throttle', requests: 1400, seconds: 9, endpoint: '/search',
    shares: { resource_exhaustion: 1 },
    findings: [finding('seconds_of_overload', 'seconds', 9, 1, 26.2), finding('busy_peak', 'upstreams at once', 38, 2, 26.2)],
    paths: ['/search?q=a&sort=price&page=9120', '/search?q=b&sort=price&page=7714'], method: 'GET', status: 504,
  },
  {
    threat: 'spamming', type: 'client', agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0', requests: 19, seconds: 240,
    shares: { spamming: 0.9, account_creation: 0.1 }, endpoint: '/comments',
    findings: [finding('contributions', 'posts', 17, 5, 21.1)],
    paths: ['/comments', '/comments', '/comments'], method: 'POST', status: 302,
  },
  {
    threat: 'account_creation', type: 'client', agent: 'axios/1.6.2', requests: 16, seconds: 75, action: 'monitor', endpoint: '/register',
    shares: { account_creation: 0.97, spamming: 0.03 },
    findings: [finding('accounts_created', 'accounts', 12, 1, 22.9)],
    paths: ['/register', '/register'], method: 'POST', status: 201,
  },
];

/** Each would set `window.broken` or load something if any part of it ran. */
export const HOSTILE = [
  '<img src=x onerror="window.broken=1">',
  '"><script>window.broken=2</script>',
  'javascript:window.broken=3//\'"`${window.broken=4}',
  '</td></table><svg/onload=window.broken=5>',
  'Mozilla/5.0 \u202egnirts lufmrah\u202c \u0000\u001b[31m {{constructor.constructor("window.broken=6")()}}',
];
