export default function click({element}) {
  document.querySelector(element).click();
}
