/** Node's zlib, loaded with its first use: it brings all of Node's streams. */
export const zlib = (): typeof import('node:zlib') => require('node:zlib');
