import { drawImages, drawingsIn } from '../../lib/cli/draw';

const drawing = { pixels: Uint8Array.of(0, 255, 255, 255, 128, 0), caption: 'too long a caption' };

test('two rows of pixels in a line: shades of ASCII', () => {
  // The last row has none below it.
  expect(drawImages([drawing, { ...drawing, caption: 'a' }], 2, false)).toEqual(['=@  =@', ':   : ', 'to  a ']);
});

test('half blocks in colour', () => {
  const [line] = drawImages([drawing], 2, true);
  expect(line).toBe('\x1b[38;2;0;0;0;48;2;255;255;255m\u2580\x1b[38;2;255;255;255;48;2;255;255;255m\u2580\x1b[0m');
});

test('as many images as fit, and always one', () => {
  expect([10, 27, 28, 57, 58, 88].map((columns) => drawingsIn(columns, 28))).toEqual([1, 1, 1, 1, 2, 3]);
});
