// Browsers refuse a worker to a page from the disk. There, the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.reply = data => this.dispatchEvent(new MessageEvent("message", { data }))
      frame.srcdoc = `<script>
        postMessage = data => frameElement.reply(data)
        importScripts = async (...urls) => {
          for (const url of urls)
            await new Promise((onload, onerror) =>
              document.head.append(Object.assign(document.createElement("script"), { src: url, onload, onerror })))
        }
      <\/script><script src="${url}"><\/script>`
      this.loaded = new Promise(done => { frame.onload = () => done(frame.contentWindow) })
      document.body.append(frame)
    }
    postMessage(data) {
      this.loaded.then(inside => inside.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
  window.Worker = window.IFrameWorker
}
