/**
 * Where the addon may lie. The build leaves this file as it is, small and plain, since tools that copy what a program needs
 * read it: they know a few forms of paths that begin with `__dirname`, and leave behind what they do not see.
 */
import { join } from 'node:path';

/** The addon of a build made here. */
export const built: string = join(__dirname, '../build/Release/qarepvgg.node');

/** The folder of the addon that was shipped for this machine. ncc knows this form. */
// biome-ignore lint/style/useTemplate: ncc does not know templates.
export const shipped: string = __dirname + '/../prebuilds/' + process.platform + '-' + process.arch;

/** All shipped addons. Next (Turbopack) and @vercel/nft know this form, but no computed names. */
export const shippedFiles: readonly string[] = [
  join(__dirname, '../prebuilds/linux-x64/qarepvgg.node'),
  join(__dirname, '../prebuilds/linux-x64/libgomp.so.1'),
  join(__dirname, '../prebuilds/linux-arm64/qarepvgg.node'),
  join(__dirname, '../prebuilds/linux-arm64/libgomp.so.1'),
];
