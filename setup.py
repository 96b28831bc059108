"""How Sloth CI is installed: `pip install .`; tool settings are in pyproject.toml."""

from pathlib import Path
from re import search

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = search(r'__version__ = "(.+)"', (ROOT / "sloth_ci/__init__.py").read_text())[1]

CORE = [
    "cherrypy>=18.10",
    # Newer ones bring typer, rich and pygments along: 8 packages and 15 MB nobody here uses.
    "jaraco.text<4.1",
    "pyyaml>=6",
    "cliar>=1.3.5",
    "colorama>=0.4",
    "pydantic>=2.9",
    "argon2-cffi>=23.1",
    "urllib3>=2.3",
    "tabulate>=0.10",
    "multipart>=1.2",
    "pluggy>=1.5",
    "jinja2>=3.1",
    "prometheus-client>=0.21",
]
EXTRAS = {
    "notify": ["apprise>=1.9"],
    "ssh": ["paramiko>=3.5"],
    "docker": ["docker>=7.1"],
    "schedule": ["cronsim>=2.6"],
}
#: The modules of extensions/ that can be declared, each with the extra that it needs, if any.
EXTENSIONS = {
    "badge": "",
    "docker_exec": "docker",
    "file_logs": "",
    "git": "",
    "metrics": "",
    "notifications": "",
    "robots_txt": "",
    "schedule": "schedule",
    "ssh_exec": "ssh",
    "status_report": "",
    "webhooks": "",
    "wrap_exec": "",
}
#: Those that bring a command of `sci`.
COMMANDS = {"dev": "dev", "notify": "notify"}
TESTS = [
    *(requirement for extra in EXTRAS.values() for requirement in extra),
    "pytest>=8",
    "pytest-xdist>=3.6",
    "pytest-timeout>=2.3",
    "pytest-cov>=6",
    "pytest-randomly>=3.16",
    "hypothesis>=6.115",
    "ruff>=0.8",
    "mypy>=1.13",
    "types-PyYAML",
    "psutil>=6",
    "types-psutil",
    "types-tabulate",
    "types-colorama",
    "sphinx>=8",
    "myst-parser>=4",
    # Packages are made by the tests of extensions; older ones need `wheel` for that.
    "setuptools>=70.1",
    "aiosmtpd>=1.4",
    "playwright>=1.49",
    "types-paramiko",
    "types-docker",
]

setup(
    name="sloth-ci",
    version=VERSION,
    description="A lightweight CI server: a push becomes a build within milliseconds.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["sloth_ci", "sloth_ci.*"]),
        "sloth_ci_extensions",
        *(f"sloth_ci_extensions.{name}" for name in find_packages("extensions")),
    ],
    package_dir={"sloth_ci_extensions": "extensions"},
    package_data={"sloth_ci": ["py.typed", "samples/**/*", "page/templates/*", "page/static/*"]},
    install_requires=CORE,
    extras_require={**EXTRAS, "tests": TESTS},
    entry_points={
        "console_scripts": ["sci = sloth_ci.cli:main", "sloth-ci = sloth_ci.cli:main"],
        "sloth_ci.extensions": [
            f"{name} = sloth_ci_extensions.{name}" + (f" [{extra}]" if extra else "")
            for name, extra in EXTENSIONS.items()
        ],
        "sloth_ci.commands": [
            f"{name} = sloth_ci_extensions.{module}" for name, module in COMMANDS.items()
        ],
    },
    classifiers=[
        "Environment :: Web Environment",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Software Development :: Build Tools",
    ],
)
