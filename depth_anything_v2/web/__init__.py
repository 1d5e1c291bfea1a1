"""The web page. gradio is imported here only, when a page is built."""
