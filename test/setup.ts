import * as fc from 'fast-check';

// A test run is the same everywhere and every time. Other cases: FC_SEED=N npm test.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20221205) });
