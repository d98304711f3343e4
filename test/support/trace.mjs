// node test/support/trace.mjs FOLDER
//
// Copies what @vercel/nft finds that FOLDER/app.js needs to FOLDER/traced, as Next and Vercel do, and prints the list.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFileTrace } from '@vercel/nft';

const [, , folder = ''] = process.argv;
const app = join(folder, 'app');
const { fileList } = await nodeFileTrace([join(app, 'app.js')], { base: app });
for (const file of fileList) cpSync(join(app, file), join(folder, 'traced', file), { dereference: true });
console.log(JSON.stringify([...fileList].sort()));
