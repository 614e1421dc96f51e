(() => {
  const box = document.getElementById(BOX), {port, path, prefix} = ADDRESS;
  // the page's own host: cookies of another name for the same machine would not be sent
  const url = prefix === null
    ? `http://${window.location.hostname}:${port}/${path}`
    : `${window.location.origin}${prefix}proxy/${port}/${path}`;
  box.querySelector("a").href = url;
  const frame = box.querySelector("iframe");
  if (frame) frame.src = url;
})();
