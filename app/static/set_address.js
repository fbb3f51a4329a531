export default function setAddress(options, link) {
  history.replaceState(null, '', link);
}
