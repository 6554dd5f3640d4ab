// Looks at the page as a reader does, and leaves what it has found in the document.
(() => {
  const found = { dark: matchMedia('(prefers-color-scheme: dark)').matches ? 1 : 0, width: innerWidth,
    scroll: document.documentElement.scrollWidth, low_contrast: [], overflowing: [], unnamed: [], isolated: [], texts: 0 };
  const parse = (color) => {
    const m = color.match(/rgba?\(([^)]+)\)/);
    const [r, g, b, a] = m[1].split(/[ ,/]+/).map(Number);
    return { r, g, b, a: a === undefined ? 1 : a };
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.a === 1) return color;
      if (color.a > 0) throw new Error('a background that shines through');
    }
    return { r: 255, g: 255, b: 255, a: 1 };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const name = (element) => element.tagName + '.' + (element.getAttribute('class') || '') + ' ' + element.textContent.slice(0, 30);
  const once = (list, text) => { if (list.length < 10 && !list.includes(text)) list.push(text); };

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('svg, script') || element.checkVisibility && !element.checkVisibility()) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    found.texts++;
    const [high, low] = [luminance(parse(getComputedStyle(element).color)), luminance(background(element))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) once(found.low_contrast, ((high + 0.05) / (low + 0.05)).toFixed(2) + ' ' + name(element));
    if (parseFloat(getComputedStyle(element).fontSize) < 12) once(found.low_contrast, 'small: ' + name(element));
    if (element.closest('.wide, thead')) continue;
    const frame = element.closest('.card, figure, table, .verdict, header') || document.body;
    const range = document.createRange();
    range.selectNodeContents(node);
    const text = range.getBoundingClientRect();
    const around = frame.getBoundingClientRect();
    if (text.right > around.right + 1 || text.left < around.left - 1) once(found.overflowing, name(element));
  }
  // Bars are seen against what is behind them.
  for (const bar of document.querySelectorAll('.plot rect:not(.all), .spark path')) {
    const [high, low] = [luminance(parse(getComputedStyle(bar).fill)), luminance(background(bar.closest('figure, td')))].sort((a, b) => b - a);
    if (!bar.classList.contains('four') && (high + 0.05) / (low + 0.05) < 3) once(found.low_contrast, 'bar ' + bar.getAttribute('class'));
  }
  for (const svg of document.querySelectorAll('svg')) {
    const label = svg.getAttribute('aria-label') || (document.getElementById(svg.getAttribute('aria-labelledby')) || {}).textContent;
    if (svg.getAttribute('role') !== 'img' || !label) once(found.unnamed, 'svg');
  }
  for (const section of document.querySelectorAll('section'))
    if (!section.getAttribute('aria-label') && !document.getElementById(section.getAttribute('aria-labelledby'))) once(found.unnamed, 'section');
  for (const th of document.querySelectorAll('th')) if (!th.getAttribute('scope')) once(found.unnamed, name(th));
  for (const bdi of document.querySelectorAll('bdi')) found.isolated.push(bdi.textContent);
  const out = document.createElement('pre');
  out.id = 'probe';
  out.textContent = JSON.stringify(found);
  document.body.append(out);
})();
