import { runScript } from '../support/child';

// libgomp prints the variables that it goes by when OMP_DISPLAY_ENV says so.
const load = 'require("."); console.log(JSON.stringify(process.env.GOMP_SPINCOUNT));';
const inherited = { GOMP_SPINCOUNT: undefined, OMP_WAIT_POLICY: undefined } as unknown as Record<string, string>;

test('threads that wait sleep after a while, and no child process inherits that', () => {
  const { stderr, stdout, status } = runScript(load, { ...inherited, OMP_DISPLAY_ENV: 'verbose' });
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'undefined\n' });
  expect(stderr).toMatch(/GOMP_SPINCOUNT = '10000'/);
});

test.each([
  ['GOMP_SPINCOUNT', '7', "GOMP_SPINCOUNT = '7'", '"7"\n'],
  ['OMP_WAIT_POLICY', 'PASSIVE', "GOMP_SPINCOUNT = '0'", 'undefined\n'],
])('%s decides where it is set', (name, value, shown, left) => {
  const { stderr, stdout } = runScript(load, { ...inherited, OMP_DISPLAY_ENV: 'verbose', [name]: value });
  expect(stderr).toContain(shown);
  expect(stdout).toBe(left);
});
