// `npm run mock [-- DENIALS]`: the mock to look at in a browser, with an attack every twenty seconds.

import { PLOTS } from './plots.js';
import { start } from './server.js';

const mock = await start({ port: 8089, denials: Number(process.argv[2] ?? 100_000) });
let attacks = 0;
setInterval(() => mock.world.convict(PLOTS[attacks++ % PLOTS.length], Date.now(), 'shop'), 20_000);
console.log(mock.url);
