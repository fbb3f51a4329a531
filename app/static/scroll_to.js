export default function scrollTo({element, block}) {
  document.querySelector(element).scrollIntoView({block});
}
