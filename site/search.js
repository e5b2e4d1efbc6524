// The search of the site: loads what it needs when the field gets the focus.
const root = document.currentScript.dataset.root;
const field = document.querySelector('.search input');
const list = document.querySelector('.search ol');
let index;

function load(name) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement('script'), { src: `${root}assets/${name}` });
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

async function prepare() {
  await Promise.all([load('minisearch.js'), load('entries.js')]);
  const made = new window.MiniSearch({
    idField: 'url',
    fields: ['title', 'text'],
    storeFields: ['title', 'page'],
    searchOptions: { boost: { title: 4 }, prefix: true, combineWith: 'AND' },
  });
  made.addAll(window.searchEntries);
  return made;
}

async function search() {
  index ??= prepare();
  const made = await index;
  const words = field.value.trim();
  const found = words === '' ? [] : made.search(words).slice(0, 12);
  list.replaceChildren(
    ...found.map(({ id, title, page }) => {
      const link = Object.assign(document.createElement('a'), { href: root + id });
      link.append(title, Object.assign(document.createElement('small'), { textContent: page }));
      const item = document.createElement('li');
      item.append(link);
      return item;
    }),
  );
  if (words !== '' && found.length === 0) {
    list.append(Object.assign(document.createElement('li'), { textContent: 'Nothing found' }));
  }
  list.hidden = words === '';
}

field.addEventListener('focus', () => {
  index ??= prepare();
});
field.addEventListener('input', search);
field.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') list.querySelector('a')?.click();
  if (event.key === 'Escape') {
    field.value = '';
    list.hidden = true;
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  field.focus();
});
document.addEventListener('click', (event) => {
  if (!event.target.closest('.search')) list.hidden = true;
});

// On wide screens the navigation is open; the style sheet hides its summary.
const menu = document.querySelector('.menu');
const wide = matchMedia('(min-width: 60rem)');
const arrange = () => {
  menu.open = wide.matches;
};
arrange();
wide.addEventListener('change', arrange);
