// Puts a way back to the other pages of the site above each page of the reference.
import { JSX } from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.renderer.hooks.on('body.begin', ({ relativeURL }) =>
    JSX.createElement(
      'nav',
      { class: 'site', 'aria-label': 'Site' },
      JSX.createElement('a', { href: relativeURL('../index.html') }, 'Overview'),
      JSX.createElement('a', { href: relativeURL('../library.html') }, 'The library'),
      JSX.createElement('a', { href: relativeURL('../man/virt-ts-unshare.html') }, 'Manual pages'),
    ),
  );
}
