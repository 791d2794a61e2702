"""How the documentation is built: ``make docs``."""

from importlib import import_module

from sphinx.ext.autodoc.mock import mock

import gprat
from gprat.kernels import Kernel

project = "gprat"
author = "The gprat developers"
copyright = author
version = release = gprat.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    # MathJax comes from a package, so that neither building nor reading needs the network.
    "sphinx-mathjax-offline",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery/*.py", "gallery/*.ipynb", "gallery/*.json"]
templates_path = ["_templates"]
# Single backquotes in docstrings are Python names where there is such a name, and code elsewhere.
default_role = "py:obj"

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

extlinks = {
    "sklearn": (
        "https://scikit-learn.org/stable/modules/generated/sklearn.gaussian_process.%s.html",
        "%s",
    ),
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv %s"),
}

html_theme = "furo"
html_title = "gprat"
html_static_path = ["_static"]
html_css_files = ["gprat.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f3a5f", "color-brand-content": "#1f6f8b"},
    "dark_css_variables": {"color-brand-primary": "#9cc3e6", "color-brand-content": "#7fc4da"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_typehints = "none"
# Docstrings can be read without what is too heavy a download for these pages.
autodoc_mock_imports = ["torch", "botorch", "gpytorch", "linear_operator"]
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


# Modules whose classes have pages.
CLASSES_OF = (
    "gprat",
    "gprat.batch",
    "gprat.botorch",
    "gprat.calibration",
    "gprat.diagnostics",
    "gprat.differentiation",
    "gprat.exceptions",
    "gprat.gp",
    "gprat.jax",
    "gprat.kernels",
    "gprat.means",
    "gprat.optimize.base",
    "gprat.optimize.report",
    "gprat.planning",
    "gprat.runtime",
    "gprat.simulation",
    "gprat.torch",
    "gprat.tracing",
)


def members_of(cls: type) -> dict[str, list[str]]:
    """Return what the page about a class lists: properties and methods that gprat wrote for it."""
    found: dict[str, list[str]] = {"properties": [], "methods": []}
    for name in dir(cls):
        owner = next((c for c in cls.__mro__ if name in c.__dict__), object)
        # What every kernel has is told once for all of them, and scikit-learn adds requests for
        # metadata to its estimators.
        is_everywhere = (
            name.startswith("hyperparameter_")
            or name.endswith("_request")
            or (issubclass(cls, Kernel) and hasattr(Kernel, name))
        )
        if name.startswith("_") or not owner.__module__.startswith("gprat") or is_everywhere:
            continue
        value = owner.__dict__[name]
        if isinstance(value, property):
            found["properties"].append(name)
        elif callable(getattr(cls, name)) and not isinstance(value, type):
            found["methods"].append(name)
    return found


autosummary_generate = True
with mock(autodoc_mock_imports):
    autosummary_context = {
        "members_of": {
            f"{module}.{name}": members_of(value)
            for module in CLASSES_OF
            for name, value in vars(import_module(module)).items()
            if isinstance(value, type) and value.__module__.startswith("gprat")
        }
        # Its methods are those of every engine, which models call.
        | {"gprat.engines.cluster.ClusterEngine": {"properties": [], "methods": []}},
    }

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    # The scripts may be the same, but not the package.
    "run_stale_examples": True,
    "abort_on_example_error": True,
}
